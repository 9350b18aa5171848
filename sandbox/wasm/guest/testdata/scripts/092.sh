echo abab | grep -E '(ab)\1'; echo abcabc | grep -o '\(abc\)\1'; echo 'foo bar' | grep -E '\bbar\b'; echo a+b | grep 'a+b'; echo aab | grep 'a\+b'
