echo hello | sed 's/l/L/'; echo hello | sed 's/l/L/g'; echo hello | sed 's/l/L/2'; seq 5 | sed -n '2,3p'; seq 5 | sed '2d;4d'
