set -eE
cleanup() { local rc=$?; echo "cleanup $rc"; return 9; }
trap cleanup EXIT
f() { false; echo no; }
(trap 'echo subexit' EXIT; echo insub)
f
