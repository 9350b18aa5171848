seq 3 > a; seq 2 4 > b; diff a b; echo $?; diff -u a b | tail -n +3; cmp a b; echo $?; diff -q a b; diff a a; echo $?; comm -12 a b
