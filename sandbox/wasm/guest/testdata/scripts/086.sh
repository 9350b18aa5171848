seq 5 | tail -2; seq 5 | tail -n +4; seq 5 | head -n -3; echo abcdef | head -c 3; echo; seq 3 | tac
