trap 'echo in exit $?; exit 5; echo no' EXIT
echo a
false
exit 3
