# bash completion of sheepfsctl(8)

_sheepfsctl_names() { # of mounts or volumes: the first column of a table, without its head
  sheepfsctl "${instance[@]}" "$1" 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_sheepfsctl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word command='' index
  local -a instance=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=${COMP_WORDS[index]}
    case $word in
      -i | --instance) instance=(--instance "${COMP_WORDS[++index]}") ;;
      -m | --mount) ((index++)) ;;
      -*) ;;
      *) [[ -n $command ]] || command=$word ;;
    esac
  done
  local words
  case $previous in
    -i | --instance) words=$(cd /run/sheepfs 2>/dev/null && printf '%s\n' */ | tr -d /) ;;
    -m | --mount) words=$(_sheepfsctl_names mounts) ;;
    *)
      case $command in
        '') words='status mounts health metrics events doctor mount unmount restart volumes attach detach cache sheep
          io-timeout cluster nodes vdi snapshot clone resize --instance --mount --json --help --version' ;;
        unmount | restart) words=$(_sheepfsctl_names mounts) ;;
        detach) words=$(_sheepfsctl_names volumes) ;;
        vdi) words='list create delete' ;;
        io-timeout) words='forever' ;;
        mount) compopt -o dirnames ;;
      esac
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _sheepfsctl sheepfsctl
