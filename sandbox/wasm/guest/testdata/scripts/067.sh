set -- a b c; echo $# $2; shift; echo "$@"; set -- "$@" z; echo "$*"
