trap 'echo bye' EXIT
( echo sub )
x=$(echo y); echo $x
trap - EXIT
trap 'echo bye2' EXIT INT TERM
trap -p EXIT
exec 3>&1
echo done >&3
