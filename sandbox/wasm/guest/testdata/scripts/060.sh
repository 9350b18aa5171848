yes | head -3; echo "${PIPESTATUS[@]:-}" > /dev/null
