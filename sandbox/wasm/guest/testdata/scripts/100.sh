printf 'x 1\ny 2\nx 3\n' | awk '{a[$1]+=$2} END {for (k in a) print k, a[k]}' | sort; echo foobar | awk '{gsub(/o/,"0"); print toupper($0), length($0), substr($0,2,3)}'; awk -v n=5 'BEGIN{print n*2}'
