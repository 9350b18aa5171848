echo hello | tr a-z A-Z; echo aabb | tr -s a; echo a1b2 | tr -d 0-9; echo 'a b' | tr ' ' '\n'; echo abc123 | tr -cd 0-9
