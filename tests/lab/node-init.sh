#!/bin/sh
# PID 1 of the node: modules, network, kube-proxy in IPVS mode, then commands from the console.
# It must never end (the kernel would panic), nor write anywhere but to its own /run.
# PROGRAM, STATE and KUBECONFIG come from the kernel's command line.
export PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/run XTABLES_LOCKFILE=/run/xtables.lock
stty raw -echo
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p "$STATE" /run/bin /run/modules/lib/modules
mount -t hostfs -o "$STATE" none "$STATE"

release=$(uname -r)
ln -s "/usr/lib/uml/modules/$release" "/run/modules/lib/modules/$release"
printf '#!/bin/sh\nexec /sbin/modprobe -d /run/modules "$@"\n' > /run/modprobe
chmod +x /run/modprobe
echo /run/modprobe > /proc/sys/kernel/modprobe
/run/modprobe -a ip_vs ip_vs_rr ip_set nf_conntrack nf_nat xt_set dummy \
  iptable_nat iptable_filter ip6table_nat ip6table_filter

# This kernel has no nftables, so iptables must be the legacy one.
for tool in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
  ln -s "$(command -v xtables-legacy-multi)" "/run/bin/$tool"
done

ip link set lo up
ip link set eth0 up
ip addr add 10.90.0.2/24 dev eth0
ip addr add fd00:90::2/64 dev eth0 nodad
ip route add default via 10.90.0.1
ip -6 route add default via fd00:90::1
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding

# Without that period it would wait a second between two changes; it can't raise conntrack's limits.
{
  "$PROGRAM" kube-proxy --kubeconfig="$KUBECONFIG" --proxy-mode=ipvs --hostname-override=node1 \
    --cluster-cidr=10.244.0.0/16,fd00:10:244::/56 --ipvs-min-sync-period=0s \
    --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
    --conntrack-tcp-timeout-close-wait=0
  touch /run/kube-proxy.ended
} > /run/kube-proxy.log 2>&1 &

# console.py is at the other end. Each answer ends with the token of its question.
# Without a timeout the shell itself does what is asked: a process takes 25 ms to start here.
echo node-is-up
while read -r token seconds command; do
  echo "$token"
  if [ "$seconds" = 0 ]; then
    eval "$command"
  else
    timeout -k 1 "$seconds" sh -c "$command" 2>&1 < /dev/null
  fi
  echo "$token=$?"
done
echo o > /proc/sysrq-trigger
sleep 60
