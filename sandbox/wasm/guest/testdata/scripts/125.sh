f() { echo "in: $(cat)"; }; echo data | f; echo a | while read l; do echo "got $l"; done; seq 3 | { sum=0; while read n; do ((sum+=n)); done; echo $sum; }
