sleep 0.01 & p=$!; wait $p; echo $?; (exit 3) & wait $!; echo $?
