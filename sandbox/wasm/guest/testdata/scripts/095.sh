seq 3 | sed '2i\
ins'; seq 3 | sed '2a app'; seq 3 | sed '2c chg'; seq 3 | sed -n '$='; seq 6 | sed 'n;d'; seq 4 | sed 'N;s/\n/-/'
