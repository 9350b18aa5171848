x=$(mktemp -d); [ -d "$x" ] && echo ok; f=$(mktemp); [ -f "$f" ] && echo ok; rm -r "$x" "$f"
