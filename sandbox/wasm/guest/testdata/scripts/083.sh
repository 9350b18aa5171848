printf '1\n2\n3\n' | paste -sd,; seq 3 > a; seq 4 6 > b; paste -d: a b
