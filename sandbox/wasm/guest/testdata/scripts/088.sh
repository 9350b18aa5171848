printf 'foo\nbar\nfoobar\n' | grep foo; printf 'foo\nbar\n' | grep -v foo; printf 'a\nb\n' | grep -c a; echo x | grep y; echo $?
