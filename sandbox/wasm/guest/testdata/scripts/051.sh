printf 'abcdef' | { read -r -n 3 x; echo "$x"; }
