for i in {1..5} {a..c} x{1,2}y; do echo -n "$i "; done; echo
