while IFS= read -r line || [ -n "$line" ]; do echo "[$line]"; done < <(printf ' a \nb')
