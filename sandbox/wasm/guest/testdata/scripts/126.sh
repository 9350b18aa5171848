set -eo pipefail; out=$(echo ok | cat); echo "$out"; n=$(seq 3 | wc -l); echo $((n)); false | cat; echo unreachable
