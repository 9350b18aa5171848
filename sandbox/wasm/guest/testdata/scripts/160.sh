cat <<EOF
x $((1+1)) $(echo sub) \$esc `echo bt`
EOF
cat <<'EOF'
raw $x `no`
EOF
	cat <<-EOF
	tabbed
	EOF
read -r first rest <<< "a b c"; echo "$first|$rest"; cat <<< "$(printf 'l1\nl2')"; while IFS='=' read -r k v; do echo "$k -> $v"; done <<EOF
a=1
b=2=3
EOF
{ echo out; echo err >&2; } 2>&1 | sort; exec 5> f5; echo five >&5; exec 5>&-; cat f5; exec 6< f5; read -r l <&6; echo $l; echo app >> f5; wc -l < f5; : > f5; wc -c < f5; echo a > x && cat < x > y; cat y; ls nope 2>/dev/null || echo rc=$?; { echo a; echo b; } > grp; cat grp; (echo c; echo d) | cat -n; echo err >&2 2>/dev/null
