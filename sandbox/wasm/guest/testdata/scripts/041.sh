if true; then
cat <<-EOF2
	tabbed
	EOF2
fi
