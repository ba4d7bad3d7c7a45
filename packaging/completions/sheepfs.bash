# bash completion of sheepfs(8), sheepfsd(8), sheepfsctl(8) and lamb(1)

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

_sheepfs_source() { # SOURCE
  local path list=${1#words }
  case $1 in
    words*) printf '%s\n' "${list// /$'\n'}" ;;
    mounts) _sheepfs_ask name mounts ;;
    volumes) _sheepfs_ask name volumes ;;
    mapped) _sheepfs_ask volume mapped ;;
    vdis) _sheepfs_ask volume vdi list ;;
    plain) _sheepfs_ask volume vdi list | grep -v @ ;;
    snapshots) _sheepfs_ask volume vdi list | grep @ ;;
    running)
      for path in "${SHEEPFS_RUNTIME_DIR:-/run/sheepfs}"/*/control.sock; do
        [[ -S $path ]] && path=${path%/control.sock} && printf '%s\n' "${path##*/}"
      done
      ;;
    configured)
      for path in /etc/sheepfs/*.toml; do [[ -e $path ]] && path=${path##*/} && printf '%s\n' "${path%.toml}"; done
      ;;
  esac
}

_sheepfs_complete() { # PROGRAM
  local -a words general=() operands=()
  local kind at name source word index valued=' ' commands=$'\n' path='' previous='' rows
  rows=$("_$1_table")
  _sheepfs_words
  while IFS='|' read -r kind at name source _; do
    [[ $kind == command ]] && commands+="${at:+$at }$name"$'\n'
    [[ $name == -* && -n $source ]] && valued+="$name "
  done <<<"$rows"
  for ((index = 1; index < ${#words[@]} - 1; index++)); do
    word=${words[index]}
    if [[ $word == -* && $valued == *" $word "* ]]; then
      ((index == ${#words[@]} - 2)) && previous=$word
      case $word in -i | --instance | -m | --mount) general+=("$word" "${words[++index]}") ;; *) ((index++)) ;; esac
    elif [[ $word == -* ]]; then
      continue
    elif [[ ${#operands[@]} == 0 && $commands == *$'\n'"${path:+$path }$word"$'\n'* ]]; then
      path+=${path:+ }$word
    else
      operands+=("$word")
    fi
  done
  while IFS='|' read -r kind at name source _; do
    [[ $at == "$path" ]] || continue
    if [[ -n $previous ]]; then
      [[ $name == "$previous" ]] && _sheepfs_from "$source"
    elif [[ ${words[-1]} == -* ]]; then
      [[ $kind == option && $name == --* ]] && _sheepfs_offer <<<"$name"
    elif [[ $kind == command && ${#operands[@]} == 0 ]]; then
      _sheepfs_offer <<<"$name"
    elif [[ $kind == argument ]]; then
      ((${name%+} == ${#operands[@]} + 1)) || [[ $name == *+ ]] && _sheepfs_from "$source"
    fi
  done <<<"$rows"
}

_sheepfs_from() { # SOURCE
  case $1 in
    directories) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -d -- "${words[-1]}") ;;
    files) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "${words[-1]}") ;;
    *) _sheepfs_offer < <(_sheepfs_source "$1") ;;
  esac
}

# TABLES of the programs stand here in what is installed
_sheepfs() { _sheepfs_complete sheepfs; }
_sheepfsd() { _sheepfs_complete sheepfsd; }
_sheepfsctl() { _sheepfs_complete sheepfsctl; }
_lamb() { _sheepfs_complete lamb; }
complete -F _sheepfs sheepfs
complete -F _sheepfsd sheepfsd
complete -F _sheepfsctl sheepfsctl
complete -F _lamb lamb
