printf 'a,b\n' | while IFS=, read x y; do echo "$y $x"; done; IFS=$'\n'; for l in $(printf 'a b\nc d\n'); do echo "[$l]"; done
