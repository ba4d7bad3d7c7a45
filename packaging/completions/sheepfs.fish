# fish completion of sheepfs(8), sheepfsd(8), sheepfsctl(8) and lamb(1)

# Prints the texts that a running sheepfsd has at a key of what "sheepfsctl --json COMMAND..." prints.
function _sheepfs_ask --argument-names key
  sheepfsctl --json $_sheepfs_general $argv[2..] 2>/dev/null | string match -ar "\"$key\":\"(?:[^\"\\\\]|\\\\.)*\"" |
    string replace -r "^\"$key\":\"(.*)\"\$" '$1' | string replace -ar '\\\\(.)' '$1'
end

function _sheepfs_source --argument-names source current
  switch $source
    case 'words*'
      string split ' ' -- (string replace 'words ' '' -- $source)
    case mounts
      _sheepfs_ask name mounts
    case volumes
      _sheepfs_ask name volumes
    case mapped
      _sheepfs_ask volume mapped
    case vdis
      _sheepfs_ask volume vdi list
    case plain
      _sheepfs_ask volume vdi list | string match -v '*@*'
    case snapshots
      _sheepfs_ask volume vdi list | string match '*@*'
    case directories
      __fish_complete_directories $current ''
    case files
      __fish_complete_path $current
    case running
      set -l folder /run/sheepfs
      set -q SHEEPFS_RUNTIME_DIR; and set folder $SHEEPFS_RUNTIME_DIR
      for path in $folder/*/control.sock
        string split / -- $path | tail -n 2 | head -n 1
      end
    case configured
      for path in /etc/sheepfs/*.toml
        string replace -r '.*/(.*)\.toml$' '$1' -- $path
      end
  end
end

# TABLES of the programs stand here in what is installed
# Prints what may stand at the cursor.
function _sheepfs_complete --argument-names program
  set -l rows (_{$program}_table)
  set -l valued (string match -r '^[^|]*\|[^|]*\|-[^|]*(?=\|[^|])' -- $rows | string replace -r '.*\|' '')
  set -l known (string match -r '^command\|.*' -- $rows | string replace -r '^command\|([^|]*)\|([^|]*)\|.*' '$1 $2' | string trim)
  set -g _sheepfs_general
  set -l path ''
  set -l operands
  set -l previous ''
  for word in (commandline -opc)[2..]
    if test -n "$previous"
      contains -- $previous -i --instance -m --mount; and set -a _sheepfs_general $previous $word
      set previous ''
    else if contains -- $word $valued
      set previous $word
    else if string match -qr '^--(instance|mount)=' -- $word
      set -a _sheepfs_general $word
    else if string match -q -- '-*' $word
      continue
    else if not set -q operands[1]; and contains -- (string trim "$path $word") $known
      set path (string trim "$path $word")
    else
      set -a operands $word
    end
  end
  set -l current (commandline -ct)
  set -l lead ''
  if string match -q -- '--*=*' $current
    set previous (string replace -r '=.*' '' -- $current)
    set lead $previous=
  end
  for row in $rows
    set -l fields (string split -m 4 '|' -- $row)
    test "$fields[2]" = "$path"; or continue
    if test -n "$previous"
      test "$fields[3]" = $previous; and string replace -r -- '^' $lead (_sheepfs_source $fields[4] (string replace -- $lead '' $current))
    else if string match -q -- '-*' $current
      test $fields[1] = option; and string match -q -- '--*' $fields[3]; and printf '%s\t%s\n' $fields[3] $fields[5]
    else if test $fields[1] = command; and not set -q operands[1]
      printf '%s\t%s\n' $fields[3] $fields[5]
    else if test $fields[1] = argument
      string match -q '*+' $fields[3]; or test $fields[3] = (math (count $operands) + 1); and _sheepfs_source $fields[4] $current
    end
  end
end

for program in sheepfs sheepfsd sheepfsctl lamb
  complete -c $program -f -a "(_sheepfs_complete $program)"
end
