x=$(cat <<E
sub
E
); echo "$x"; echo `echo back`
