# A kind node from packages: systemd, containerd, kind's own files, and the one program as kubelet, kubeadm, kubectl.
ARG BASE
FROM ${BASE}
COPY files/usr/local/bin/ /usr/local/bin/
COPY files/kind/ /kind/
COPY files/etc/ /etc/
COPY manifests/ /kind/manifests/
COPY version /kind/version
COPY kubernetes /usr/bin/kubernetes
# Units that wait for hardware or users would hold up the start. /var becomes a volume when a container is made.
RUN chmod 755 /usr/local/bin/* /kind/bin /kind/bin/* && for name in kubelet kubeadm kubectl; do ln -s kubernetes /usr/bin/$name; done \
 && mkdir -p /opt/cni/bin /etc/cni/net.d /etc/kubernetes/manifests && cp /usr/lib/cni/* /opt/cni/bin/ \
 && ln -sf /usr/bin/containerd /usr/bin/ctr /usr/local/bin/ && ln -sf /lib/systemd/systemd /sbin/init \
 && ctr oci spec > /etc/containerd/cri-base.json \
 && rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
    /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
    /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/* \
 && echo ReadKMsg=no >> /etc/systemd/journald.conf \
 && systemctl enable kubelet containerd undo-mount-hacks && systemctl mask systemd-binfmt
ENV container=docker
STOPSIGNAL SIGRTMIN+3
