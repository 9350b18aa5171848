echo "a'b" 'c"d' "e\"f" $'tab\there' "\$x" \\; echo "$(echo "nested $(echo deep)")"
