# The control plane's images: one program under several names. TARGET of coredns: the name is its entrypoint.
ARG BASE
FROM ${BASE} AS kubernetes
COPY kubernetes /usr/local/bin/kubernetes
RUN cd /usr/local/bin && for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd coredns; do \
    ln -s kubernetes $name; done

FROM kubernetes AS coredns
ENTRYPOINT ["/usr/local/bin/coredns"]

FROM scratch AS pause
COPY pause /pause
ENTRYPOINT ["/pause"]
