FUNCNEST=5
f() { n=$((n+1)); f; }
(f; echo no) 2>&1 | sed 's/.*: f:/f:/'
x=$(f 2>/dev/null; echo no); echo "$? [$x]"
f() { [ $1 -eq 0 ] && { echo deep; return; }; f $(($1-1)); }
unset FUNCNEST; f 300
