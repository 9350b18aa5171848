sed -n '/start/,/end/p' <<E
a
start
b
end
c
E
sed -e 's/a/b/' -e 's/b/c/' <<< a; sed '/^$/d;/^#/d' <<< $'x\n\n#c\ny'; echo 'a b' | sed 's/\(.*\) \(.*\)/\2 \1/'
