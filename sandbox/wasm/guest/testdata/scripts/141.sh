set -e
trap 'echo "failed: $? line"; exit 7' ERR
echo a
false
echo no
