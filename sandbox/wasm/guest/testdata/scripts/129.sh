cut -d, -f2 <<E | sort -u | paste -sd' '
a,2
b,1
c,2
E
