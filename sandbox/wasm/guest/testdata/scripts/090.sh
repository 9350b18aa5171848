seq 10 | grep -n -A1 -B1 5; seq 20 | grep -w 1; printf 'ab\nabc\n' | grep -x ab; seq 3 | grep -q 2 && echo q
