IFS=,; set -- a b; echo "$*"; x="1,2,3"; for i in $x; do echo $i; done
