printf 'a\na\nb\n' | uniq -d; printf 'a\na\nb\n' | uniq -u; printf 'B\na\n' | LC_ALL=C sort; printf 'a\na\n' | sort -u
