cat <<EOF2
a $((1+1)) $HOME_NOT_SET x
EOF2
