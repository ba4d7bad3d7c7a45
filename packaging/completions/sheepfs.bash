# bash completion of sheepfs(8), sheepfsd(8) and sheepfsctl(8)

# Sets words: those up to the cursor, without the breaks that readline makes at "@" and ":", and "--option=value" as two.
_sheepfs_words() {
  local line=${COMP_LINE:0:COMP_POINT} word
  local -a whole
  words=()
  for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
    [[ ${#words[@]} == 0 || $line == [[:space:]]* ]] && words+=('')
    line=${line#"${line%%[![:space:]]*}"}
    words[-1]+=${line:0:${#word}}
    line=${line:${#word}}
  done
  whole=("${words[@]}")
  words=()
  for word in "${whole[@]}"; do
    [[ $word == --*=* ]] && words+=("${word%%=*}") && word=${word#*=}
    words+=("$word")
  done
}

# Offers those lines of its input that begin with the current word.
_sheepfs_offer() {
  local current=${words[-1]} name quoted
  local kept=${current%"${current##*[@:]}"} # readline replaces only what follows
  while IFS= read -r name; do
    printf -v quoted %q "$name"
    [[ $quoted == "$current"* ]] && COMPREPLY+=("${quoted#"$kept"}")
  done
}

# Prints the texts that a running sheepfsd has at a key of what "sheepfsctl --json COMMAND..." prints.
_sheepfs_ask() { # KEY COMMAND...
  local key=$1
  shift
  sheepfsctl --json "${general[@]}" "$@" 2>/dev/null | grep -oE "\"$key\":\"([^\"\\\\]|\\\\.)*\"" |
    sed -e "s/^\"$key\":\"//" -e 's/"$//' -e 's/\\\(.\)/\1/g'
}

# Prints the instances: those that run, or those that are configured.
_sheepfs_instances() { # running|configured
  local path
  for path in "${SHEEPFS_RUNTIME_DIR:-/run/sheepfs}"/*/control.sock; do
    [[ $1 == running && -S $path ]] && path=${path%/control.sock} && printf '%s\n' "${path##*/}"
  done
  for path in /etc/sheepfs/*.toml; do
    [[ $1 == configured && -e $path ]] && path=${path##*/} && printf '%s\n' "${path%.toml}"
  done
}

_sheepfs_directories() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen -d -- "${words[-1]}")
}

_sheepfs() {
  local -a words
  _sheepfs_words
  case ${words[-2]} in
    --engine) _sheepfs_offer < <(printf '%s\n' auto kernel fuse-native) ;;
    -a | --address | -p | --port | --attach | --source) ;;
    *)
      case ${words[-1]} in
        -*) _sheepfs_offer < <(printf '%s\n' --address --port --pagecache --objectcache --foreground --debug --attach \
          --break-lock --engine --allow-other --source --help --version) ;;
        *) _sheepfs_directories ;;
      esac
      ;;
  esac
}

_sheepfsd() {
  local -a words
  _sheepfs_words
  case ${words[-1]} in
    -*) _sheepfs_offer < <(printf '%s\n' --check --help --version) ;;
    *) _sheepfs_offer < <(_sheepfs_instances configured) ;;
  esac
}

_sheepfsctl() {
  local -a words general=() command=()
  local index
  _sheepfs_words
  for ((index = 1; index < ${#words[@]} - 1; index++)); do
    case ${words[index]} in
      -i | --instance | -m | --mount) general+=("${words[index]}" "${words[++index]}") ;;
      --name | --sheep | --volume | --engine | --copies | --object-size | --sector-size | --io-timeout | --interval | --bundle | --p* | --object*) ((index++)) ;;
      -*) ;;
      *) command+=("${words[index]}") ;;
    esac
  done
  case ${words[-2]} in
    -i | --instance) _sheepfs_offer < <(_sheepfs_instances running) ;;
    -m | --mount) _sheepfs_offer < <(_sheepfs_ask name mounts) ;;
    --page | --object | --page-cache | --object-cache) _sheepfs_offer < <(printf '%s\n' on off) ;;
    --engine) _sheepfs_offer < <(printf '%s\n' auto kernel fuse-native) ;;
    --volume) _sheepfs_offer < <(_sheepfs_ask volume vdi list) ;;
    --io-timeout) _sheepfs_offer < <(printf '%s\n' forever) ;;
    --sector-size) _sheepfs_offer < <(printf '%s\n' 512 1024 2048 4096) ;;
    --name | --sheep | --copies | --object-size | --interval) ;;
    *) _sheepfsctl_word ;;
  esac
}

_sheepfsctl_word() {
  if [[ ${words[-1]} == -* ]]; then
    _sheepfs_offer < <(_sheepfsctl_options "${command[*]::2}")
    return
  fi
  case "${command[*]}" in
    '') _sheepfs_offer < <(printf '%s\n' status mounts health metrics top events doctor reload mount unmount restart \
      volumes attach detach cache sheep io-timeout map unmap mapped cluster nodes vdi snapshot clone resize help) ;;
    vdi) _sheepfs_offer < <(printf '%s\n' list create delete info rollback) ;;
    unmount* | restart*) _sheepfs_offer < <(_sheepfs_ask name mounts) ;;
    unmap*) _sheepfs_offer < <(_sheepfs_ask volume mapped) ;;
    mapped*) ;;
    detach*) _sheepfs_offer < <(_sheepfs_ask name volumes) ;;
    snapshot) _sheepfs_offer < <(printf '%s\n' list create delete && _sheepfs_ask volume vdi list) ;;
    'snapshot list' | 'snapshot create') _sheepfs_offer < <(_sheepfs_ask volume vdi list | grep -v @) ;;
    'snapshot delete'*) _sheepfs_offer < <(_sheepfs_ask volume snapshot list) ;;
    attach* | map* | 'vdi delete'* | 'vdi info' | resize) _sheepfs_offer < <(_sheepfs_ask volume vdi list) ;;
    clone | 'vdi rollback') _sheepfs_offer < <(_sheepfs_ask volume vdi list | grep @) ;;
    io-timeout) _sheepfs_offer < <(printf '%s\n' forever) ;;
    mount) _sheepfs_directories ;;
  esac
}

_sheepfsctl_options() { # COMMAND
  printf '%s\n' --instance --wait --json --help --version
  case $1 in
    metrics* | doctor* | reload* | mount | 'mount '* | unmount* | restart*) ;;
    *) printf '%s\n' --mount ;;
  esac
  case $1 in
    mount | 'mount '*) printf '%s\n' --name --sheep --volume --engine --page-cache --object-cache --allow-other --io-timeout ;;
    reload*) printf '%s\n' --dry-run ;;
    status*) printf '%s\n' --watch ;;
    doctor*) printf '%s\n' --bundle ;;
    top*) printf '%s\n' --once --interval ;;
    unmount* | detach*) printf '%s\n' --force ;;
    attach*) printf '%s\n' --read-only --break-lock ;;
    map | 'map '*) printf '%s\n' --read-only --sector-size --break-lock ;;
    cache*) printf '%s\n' --page --object ;;
    'vdi create') printf '%s\n' --copies --object-size --hyper ;;
  esac
}

complete -F _sheepfs sheepfs
complete -F _sheepfsd sheepfsd
complete -F _sheepfsctl sheepfsctl
