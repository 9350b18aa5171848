a=(one "two three" four); echo ${#a[@]} "${a[1]}"; for i in "${a[@]}"; do echo "<$i>"; done
