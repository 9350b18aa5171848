[ -f /nonexistent ] || echo nofile; [ -d . ] && echo dir; [ 3 -gt 2 -a 1 -eq 1 ] && echo and; test -z "" && echo z
