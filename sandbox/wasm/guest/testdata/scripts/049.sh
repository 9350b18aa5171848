printf 'a b c' | { read -r -a arr; echo "${arr[2]}"; }
