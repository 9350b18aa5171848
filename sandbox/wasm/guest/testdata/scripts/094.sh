seq 5 | sed '$!d'; seq 5 | sed '/3/,$d'; seq 3 | sed 's/^/> /'; echo a/b | sed 's|/|:|'; echo ab | sed -E 's/(a)(b)/\2\1/'
