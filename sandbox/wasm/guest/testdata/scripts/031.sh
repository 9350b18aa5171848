i=5; ((i++)); echo $i; ((i+=10)); echo $i; ((i==16)) && echo yes; let j=i*2; echo $j
