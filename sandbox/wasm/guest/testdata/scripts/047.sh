while IFS=: read -r a b; do echo "$b-$a"; done <<< 'x:y'
