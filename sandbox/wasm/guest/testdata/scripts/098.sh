echo 'key: value' | sed -n 's/^key: *//p'; echo abc | sed 's/b*/X/g'; echo a.b.c | sed 's/\./-/g'; echo 'a  b' | sed 's/[[:space:]]\+/ /'; echo aaa | sed 's/a\{2\}/b/'
