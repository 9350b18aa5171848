cat <<'EOF2'
a $x `b`
EOF2
