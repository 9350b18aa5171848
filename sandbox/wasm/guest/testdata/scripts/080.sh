printf 'b 2\na 10\nc 1\n' | sort -k2 -n; printf 'x:3\ny:1\n' | sort -t: -k2,2n; printf 'v1.10\nv1.9\n' | sort -V
