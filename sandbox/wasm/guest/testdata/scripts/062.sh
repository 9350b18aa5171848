set -o pipefail; echo hi | true; echo $?
