printf 'a\nb\nc\n' | sed ':a;N;$!ba;s/\n/,/g'; seq 5 | sed '1~2d'; seq 5 | sed '2,+1d'; seq 10 | sed 5q; seq 3 | sed G | head -4; seq 3 | sed -n 'H;${x;s/\n/ /g;p}'
