"""Output of many tools, makers, languages and code pages, written after their formats, with what it says."""

# ruff: noqa: RUF001, E501, W291 - the words of these languages and the width of these tables are the point

# (name, encoding, text, tool, address of the destination, hop count, who answered per hop, sent, received, lowest time)
SAMPLES = [
    (
        "pl",
        "cp852",
        """
Śledzenie trasy do google.com [172.217.16.14]
z maksymalną liczbą 30 przeskoków:

  1    <1 ms    <1 ms    <1 ms  192.168.1.1
  2     *        *        *     Upłynął limit czasu żądania.
  3    12 ms    11 ms    13 ms  waw02s08-in-f14.1e100.net [172.217.16.14]

Śledzenie zakończone.
""",
        "tracert",
        "172.217.16.14",
        3,
        ["192.168.1.1", None, "172.217.16.14"],
        3,
        3,
        11.0,
    ),
    (
        "ko",
        "cp949",
        """
최대 30홉 이상의
google.com [142.250.206.206](으)로 가는 경로 추적:

  1    <1 ms    <1 ms    <1 ms  192.168.0.1
  2     *        *        *     요청 시간이 만료되었습니다.
  3    33 ms    32 ms    33 ms  142.250.206.206

추적을 완료했습니다.
""",
        "tracert",
        "142.250.206.206",
        3,
        ["192.168.0.1", None, "142.250.206.206"],
        3,
        3,
        32.0,
    ),
    (
        "it",
        "cp850",
        """
Traccia instradamento verso google.com [216.58.205.46]
su un massimo di 30 punti di passaggio:

  1     1 ms     1 ms     1 ms  modem.homenet.telecomitalia.it [192.168.1.1]
  2     *        *        *     Richiesta scaduta.
  3    12 ms    11 ms    13 ms  216.58.205.46

Traccia completata.
""",
        "tracert",
        "216.58.205.46",
        3,
        ["192.168.1.1", None, "216.58.205.46"],
        3,
        3,
        11.0,
    ),
    (
        "tr",
        "cp857",
        """
En fazla 30 sıçramanın üstünden
google.com [172.217.17.206]'a giden yol izleniyor:

  1    <1 ms    <1 ms    <1 ms  192.168.1.1
  2    12 ms    11 ms    13 ms  172.217.17.206

İzleme tamamlandı.
""",
        "tracert",
        "172.217.17.206",
        2,
        ["192.168.1.1", "172.217.17.206"],
        3,
        3,
        11.0,
    ),
    (
        "zhtw",
        "cp950",
        """
在上限 30 個躍點上
追蹤 google.com [172.217.160.110] 的路由:

  1    <1 ms    <1 ms    <1 ms  192.168.0.1
  2     *        *        *     要求等候逾時。
  3     7 ms     6 ms     6 ms  tsa01s09-in-f14.1e100.net [172.217.160.110]

追蹤完成。
""",
        "tracert",
        "172.217.160.110",
        3,
        ["192.168.0.1", None, "172.217.160.110"],
        3,
        3,
        6.0,
    ),
    (
        "ja",
        "cp932",
        """
google.com [172.217.161.78] へのルートをトレースしています
経由するホップ数は最大 30 です:

  1    <1 ms    <1 ms    <1 ms  192.168.0.1
  2     *        *        *     要求がタイムアウトしました。
  3     7 ms     6 ms     6 ms  nrt20s21-in-f14.1e100.net [172.217.161.78]

トレースを完了しました。
""",
        "tracert",
        "172.217.161.78",
        3,
        ["192.168.0.1", None, "172.217.161.78"],
        3,
        3,
        6.0,
    ),
    (
        "zhcn",
        "gbk",
        """
通过最多 30 个跃点跟踪
到 www.a.shifen.com [180.101.50.242] 的路由:

  1    <1 毫秒   <1 毫秒   <1 毫秒 192.168.1.1
  2     *        *        *     请求超时。
  3    11 ms    10 ms    10 ms  180.101.50.242

跟踪完成。
""",
        "tracert",
        "180.101.50.242",
        3,
        ["192.168.1.1", None, "180.101.50.242"],
        3,
        3,
        10.0,
    ),
    (
        "ar",
        "cp1256",
        """
تعقب المسار إلى google.com [172.217.19.46]
بحد أقصى 30 من الوثبات:

  1    <1 ms    <1 ms    <1 ms  192.168.1.1 
  2    60 ms    61 ms    60 ms  172.217.19.46 
""",
        "tracert",
        "172.217.19.46",
        2,
        ["192.168.1.1", "172.217.19.46"],
        3,
        3,
        60.0,
    ),
    (
        "unreach",
        "utf-8",
        """
Tracing route to 10.99.0.1 over a maximum of 30 hops

  1    <1 ms    <1 ms    <1 ms  192.168.1.1
  2  192.168.1.1  reports: Destination net unreachable.

Trace complete.
""",
        "tracert",
        "10.99.0.1",
        None,
        ["192.168.1.1", "192.168.1.1"],
        None,
        None,
        None,
    ),
    (
        "unreach1",
        "cp850",
        """
Routenverfolgung zu 10.99.0.1 über maximal 30 Hops

  1  PC-042 [192.168.1.77]  meldet: Zielhost nicht erreichbar.

Ablaufverfolgung beendet.
""",
        "tracert",
        "10.99.0.1",
        None,
        ["192.168.1.77"],
        None,
        None,
        None,
    ),
    (
        "wrap",
        "utf-8",
        """
Tracing route to clarin.com [104.18.7.141]
over a maximum of 30 hops:

  1     4 ms     3 ms     4 ms  cloudflare-ae70-0-grtbueba1.net.telefonicaglobalsolu
tions.com [94.142.103.101]
  2     3 ms     3 ms     3 ms  104.18.7.141
""",
        "tracert",
        "104.18.7.141",
        2,
        ["94.142.103.101", "104.18.7.141"],
        3,
        3,
        3.0,
    ),
    (
        "ping_ru",
        "cp866",
        """
Обмен пакетами с ya.ru [87.250.250.242] с 32 байтами данных:
Ответ от 87.250.250.242: число байт=32 время=13мс TTL=55
Превышен интервал ожидания для запроса.
Ответ от 87.250.250.242: число байт=32 время=20мс TTL=55
Ответ от 87.250.250.242: число байт=32 время=13мс TTL=55

Статистика Ping для 87.250.250.242:
    Пакетов: отправлено = 4, получено = 3, потеряно = 1
    (25% потерь)
Приблизительное время приема-передачи в мс:
    Минимальное = 13мсек, Максимальное = 20 мсек, Среднее = 15 мсек
""",
        "ping",
        "87.250.250.242",
        None,
        None,
        4,
        3,
        13.0,
    ),
    (
        "ping_zh",
        "gbk",
        """
正在 Ping www.a.shifen.com [180.101.50.242] 具有 32 字节的数据:
来自 180.101.50.242 的回复: 字节=32 时间=10ms TTL=53
请求超时。
来自 180.101.50.242 的回复: 字节=32 时间<1ms TTL=53
来自 180.101.50.242 的回复: 字节=32 时间=11ms TTL=53

180.101.50.242 的 Ping 统计信息:
    数据包: 已发送 = 4，已接收 = 3，丢失 = 1 (25% 丢失)，
往返行程的估计时间(以毫秒为单位):
    最短 = 0ms，最长 = 11ms，平均 = 7ms
""",
        "ping",
        "180.101.50.242",
        None,
        None,
        4,
        3,
        0.0,
    ),
    (
        "ping_ja",
        "cp932",
        """
google.com [172.217.161.78]に ping を送信しています 32 バイトのデータ:
172.217.161.78 からの応答: バイト数 =32 時間 =5ms TTL=117
要求がタイムアウトしました。
172.217.161.78 からの応答: バイト数 =32 時間 <1ms TTL=117
172.217.161.78 からの応答: バイト数 =32 時間 =6ms TTL=117

172.217.161.78 の ping 統計:
    パケット数: 送信 = 4、受信 = 3、損失 = 1 (25% の損失)、
ラウンド トリップの概算時間 (ミリ秒):
    最小 = 0ms、最大 = 6ms、平均 = 3ms
""",
        "ping",
        "172.217.161.78",
        None,
        None,
        4,
        3,
        0.0,
    ),
    (
        "ping_ko",
        "cp949",
        """
Ping google.com [142.250.207.110] 32바이트 데이터 사용:
142.250.207.110의 응답: 바이트=32 시간=32ms TTL=56
142.250.207.110의 응답: 바이트=32 시간=32ms TTL=56
요청 시간이 만료되었습니다.
142.250.207.110의 응답: 바이트=32 시간=33ms TTL=56

142.250.207.110에 대한 Ping 통계:
    패킷: 보냄 = 4, 받음 = 3, 손실 = 1 (25% 손실),
왕복 시간(밀리초):
    최소 = 32ms, 최대 = 33ms, 평균 = 32ms
""",
        "ping",
        "142.250.207.110",
        None,
        None,
        4,
        3,
        32.0,
    ),
    (
        "ping_it",
        "cp850",
        """
Esecuzione di Ping google.com [216.58.205.46] con 32 byte di dati:
Risposta da 216.58.205.46: byte=32 durata=12ms TTL=116
Richiesta scaduta.
Risposta da 216.58.205.46: byte=32 durata=13ms TTL=116
Risposta da 216.58.205.46: byte=32 durata=12ms TTL=116

Statistiche Ping per 216.58.205.46:
    Pacchetti: Trasmessi = 4, Ricevuti = 3,
    Persi = 1 (25% persi),
Tempo approssimativo percorsi andata/ritorno in millisecondi:
    Minimo = 12ms, Massimo =  13ms, Medio =  12ms
""",
        "ping",
        "216.58.205.46",
        None,
        None,
        4,
        3,
        12.0,
    ),
    (
        "ping_pl",
        "cp852",
        """
Badanie google.com [216.58.215.78] z 32 bajtami danych:
Odpowiedź z 216.58.215.78: bajtów=32 czas=11ms TTL=118
Odpowiedź z 216.58.215.78: bajtów=32 czas=12ms TTL=118
Upłynął limit czasu żądania.
Odpowiedź z 216.58.215.78: bajtów=32 czas=11ms TTL=118

Statystyka badania ping dla 216.58.215.78:
    Pakiety: Wysłane = 4, Odebrane = 3, Utracone = 1
             (25% straty),
Szacunkowy czas błądzenia pakietów w millisekundach:
    Minimum = 11 ms, Maksimum = 12 ms, Czas średni = 11 ms
""",
        "ping",
        "216.58.215.78",
        None,
        None,
        4,
        3,
        11.0,
    ),
    (
        "ping_pt",
        "cp850",
        """
Disparando google.com [172.217.30.14] com 32 bytes de dados:
Resposta de 172.217.30.14: bytes=32 tempo=11ms TTL=116
Esgotado o tempo limite do pedido.
Resposta de 172.217.30.14: bytes=32 tempo=12ms TTL=116
Resposta de 172.217.30.14: bytes=32 tempo=11ms TTL=116

Estatísticas do Ping para 172.217.30.14:
    Pacotes: Enviados = 4, Recebidos = 3, Perdidos = 1 (25% de
             perda),
Aproximar um número redondo de vezes em milissegundos:
    Mínimo = 11ms, Máximo = 12ms, Média = 11ms
""",
        "ping",
        "172.217.30.14",
        None,
        None,
        4,
        3,
        11.0,
    ),
    (
        "ping_tr",
        "cp857",
        """
google.com [172.217.17.142] 32 bayt veri ile ping ediliyor:
172.217.17.142 cevabı: bayt=32 süre=45ms TTL=117
İstek zaman aşımına uğradı.
172.217.17.142 cevabı: bayt=32 süre=46ms TTL=117
172.217.17.142 cevabı: bayt=32 süre=45ms TTL=117

172.217.17.142 için Ping istatistiği:
    Paket: Giden = 4, Gelen = 3, Kaybolan = 1 (%25 kayıp),
Mili saniye türünden yaklaşık tur süreleri:
    En Az = 45ms, En Çok = 46ms, Ortalama = 45ms
""",
        "ping",
        "172.217.17.142",
        None,
        None,
        4,
        3,
        45.0,
    ),
    (
        "ping_sv",
        "cp850",
        """
Skickar ping-signal till google.com [216.58.211.14] med 32 byte data:
Svar från 216.58.211.14: byte=32 tid=7ms TTL=116
Begäran gjorde timeout.
Svar från 216.58.211.14: byte=32 tid=8ms TTL=116
Svar från 216.58.211.14: byte=32 tid=7ms TTL=116

Ping-statistik för 216.58.211.14:
    Paket: Skickade = 4, mottagna = 3, förlorade = 1 (25 %),
Ungefärlig överföringstid i millisekunder:
    Lägsta = 7 ms, Högsta = 8 ms, Medel = 7 ms
""",
        "ping",
        "216.58.211.14",
        None,
        None,
        4,
        3,
        7.0,
    ),
    (
        "ping_nl",
        "cp850",
        """
Pingen naar google.com [216.58.211.14] met 32 bytes aan gegevens:
Antwoord van 216.58.211.14: bytes=32 tijd=7 ms TTL=116
Time-out bij opdracht.
Antwoord van 216.58.211.14: bytes=32 tijd=8 ms TTL=116
Antwoord van 216.58.211.14: bytes=32 tijd=7 ms TTL=116

Ping-statistieken voor 216.58.211.14:
    Pakketten: verzonden = 4, ontvangen = 3, verloren = 1
    (25% verlies).

De gemiddelde tijd voor het uitvoeren van één bewerking in milliseconden:
    Minimum = 7ms, Maximum = 8ms, Gemiddelde = 7ms
""",
        "ping",
        "216.58.211.14",
        None,
        None,
        4,
        3,
        7.0,
    ),
    (
        "ping_hu",
        "cp852",
        """
google.com [216.58.211.14] pingelése - 32 bájtnyi adattal:
Válasz 216.58.211.14: bájt=32 idő=7 ms TTL=116
A kérésre nem érkezett válasz a határidőn belül.
Válasz 216.58.211.14: bájt=32 idő=8 ms TTL=116
Válasz 216.58.211.14: bájt=32 idő=7 ms TTL=116

216.58.211.14 ping-statisztikája:
    Csomagok: küldött = 4, fogadott = 3, elveszett = 1
    (25% veszteség),
Oda-vissza út ideje közelítőlegesen, milliszekundumban:
    minimum = 7ms, maximum = 8ms, átlag = 7ms
""",
        "ping",
        "216.58.211.14",
        None,
        None,
        4,
        3,
        7.0,
    ),
    (
        "ping_cs",
        "cp852",
        """
Příkaz PING na google.com [216.58.211.14] - 32 bajtů dat:
Odpověď od 216.58.211.14: bajty=32 čas=7ms TTL=116
Vypršel časový limit žádosti.
Odpověď od 216.58.211.14: bajty=32 čas=8ms TTL=116
Odpověď od 216.58.211.14: bajty=32 čas=7ms TTL=116

Statistika ping pro 216.58.211.14:
    Pakety: Odeslané = 4, Přijaté = 3, Ztracené = 1 (ztráta 25%),
Přibližná doba do přijetí odezvy v milisekundách:
    Minimum = 7ms, Maximum = 8ms, Průměr = 7ms
""",
        "ping",
        "216.58.211.14",
        None,
        None,
        4,
        3,
        7.0,
    ),
    (
        "ping_v6",
        "utf-8",
        """
Pinging google.com [2a00:1450:4003:80f::200e] with 32 bytes of data:
Reply from 2a00:1450:4003:80f::200e: time=12ms
Request timed out.
Reply from 2a00:1450:4003:80f::200e: time<1ms
Reply from 2a00:1450:4003:80f::200e: time=13ms

Ping statistics for 2a00:1450:4003:80f::200e:
    Packets: Sent = 4, Received = 3, Lost = 1 (25% loss),
Approximate round trip times in milli-seconds:
    Minimum = 0ms, Maximum = 13ms, Average = 8ms
""",
        "ping",
        "2a00:1450:4003:80f::200e",
        None,
        None,
        4,
        3,
        0.0,
    ),
    (
        "ping_dead",
        "utf-8",
        """
Pinging 10.9.9.9 with 32 bytes of data:
Request timed out.
Request timed out.
Reply from 10.0.0.1: Destination host unreachable.
Reply from 10.0.0.1: TTL expired in transit.

Ping statistics for 10.9.9.9:
    Packets: Sent = 4, Received = 2, Lost = 2 (50% loss),
""",
        "ping",
        "10.9.9.9",
        None,
        None,
        4,
        0,
        None,
    ),
    (
        "ping_linux_de",
        "utf-8",
        """\
PING heise.de (193.99.144.80) 56(84) Bytes an Daten.
64 Bytes von redirector.heise.de (193.99.144.80): icmp_seq=1 ttl=247 Zeit=14,3 ms
64 Bytes von redirector.heise.de (193.99.144.80): icmp_seq=3 ttl=247 Zeit=13,9 ms

--- heise.de ping statistics ---
3 Pakete übertragen, 2 empfangen, 33,3333% Paketverlust, Zeit 2003ms
rtt min/avg/max/mdev = 13,902/14,100/14,301/0,200 ms
""",
        "ping",
        "193.99.144.80",
        None,
        None,
        3,
        2,
        13.902,
    ),
    (
        "ping_linux_err",
        "utf-8",
        """\
PING 10.9.9.9 (10.9.9.9) 56(84) bytes of data.
From 10.0.0.1 icmp_seq=1 Destination Host Unreachable
From 10.0.0.1 icmp_seq=2 Destination Host Unreachable

--- 10.9.9.9 ping statistics ---
2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1023ms
pipe 2
""",
        "ping",
        "10.9.9.9",
        None,
        None,
        2,
        0,
        None,
    ),
    (
        "ping_q",
        "utf-8",
        """\
PING 8.8.8.8 (8.8.8.8) 56(84) bytes of data.

--- 8.8.8.8 ping statistics ---
10 packets transmitted, 9 received, 10% packet loss, time 9012ms
rtt min/avg/max/mdev = 3.100/3.500/4.000/0.200 ms
""",
        "ping",
        "8.8.8.8",
        None,
        None,
        10,
        9,
        3.1,
    ),
    (
        "ping_cut",
        "utf-8",
        """\
PING 8.8.8.8 (8.8.8.8): 56 data bytes
64 bytes from 8.8.8.8: icmp_seq=0 ttl=118 time=11.632 ms
64 bytes from 8.8.8.8: icmp_seq=1 ttl=118 time=11.7
""",
        "ping",
        "8.8.8.8",
        None,
        None,
        1,
        1,
        11.632,
    ),
    (
        "mac_a",
        "utf-8",
        """\
traceroute to dns.google (8.8.8.8), 64 hops max, 40 byte packets
 1  [AS0] fritz.box (192.168.178.1)  3.519 ms  2.120 ms  2.001 ms
 2  [AS3320] 62.155.1.1 (62.155.1.1)  12.519 ms !X *  12.001 ms !X
    [AS3320] 62.155.1.9 (62.155.1.9)  11.0 ms
 3  [AS15169] dns.google (8.8.8.8)  13.0 ms  13.1 ms  13.2 ms
""",
        "traceroute",
        "8.8.8.8",
        3,
        ["192.168.178.1", "62.155.1.1", "8.8.8.8"],
        3,
        3,
        13.0,
    ),
    (
        "linux_mpls",
        "utf-8",
        """\
traceroute to 9.9.9.9 (9.9.9.9), 30 hops max, 60 byte packets
 1  _gateway (10.0.0.1)  0.3 ms  0.4 ms  0.5 ms
 2  10.1.1.1 (10.1.1.1) <MPLS:L=24015,E=0,S=1,T=1>  12.3 ms  12.4 ms 10.1.1.2 (10.1.1.2) <MPLS:L=24016,E=0,S=0,T=1/L=16,E=0,S=1,T=1>  12.1 ms
 3  9.9.9.9 (9.9.9.9) [AS19281]  15.1 ms  15.2 ms  15.0 ms
""",
        "traceroute",
        "9.9.9.9",
        3,
        ["10.0.0.1", "10.1.1.1", "9.9.9.9"],
        3,
        3,
        15.0,
    ),
    (
        "junos_mpls",
        "utf-8",
        """\
traceroute to 9.9.9.9 (9.9.9.9), 30 hops max, 52 byte packets
 1  10.0.0.1 (10.0.0.1)  0.3 ms  0.4 ms  0.5 ms
 2  10.1.1.1 (10.1.1.1)  12.3 ms  12.4 ms  12.1 ms
     MPLS Label=299776 CoS=3 TTL=1 S=1
 3  9.9.9.9 (9.9.9.9)  15.1 ms  15.2 ms  15.0 ms
""",
        "traceroute",
        "9.9.9.9",
        3,
        ["10.0.0.1", "10.1.1.1", "9.9.9.9"],
        3,
        3,
        15.0,
    ),
    (
        "ios",
        "utf-8",
        """\
Router#traceroute 8.8.8.8

Type escape sequence to abort.
Tracing the route to dns.google (8.8.8.8)
VRF info: (vrf in name/id, vrf out name/id)
  1 10.0.0.1 [MPLS: Labels 24/55 Exp 0] 4 msec 8 msec 4 msec
  2 core.example.net (192.0.2.1) [AS 64500] 4 msec *  8 msec
  3 8.8.8.8 12 msec 12 msec 12 msec
""",
        "traceroute",
        "8.8.8.8",
        3,
        ["10.0.0.1", "192.0.2.1", "8.8.8.8"],
        3,
        3,
        12.0,
    ),
    (
        "huawei",
        "utf-8",
        """\
 traceroute to  8.8.8.8(8.8.8.8), max hops: 30 ,packet length: 40,press CTRL_C to break
 1 10.0.0.1 1 ms  1 ms  1 ms
 2  *  *  *
 3 8.8.8.8 12 ms  13 ms  12 ms
""",
        "traceroute",
        "8.8.8.8",
        3,
        ["10.0.0.1", None, "8.8.8.8"],
        3,
        3,
        12.0,
    ),
    (
        "tcptr",
        "utf-8",
        """\
Selected device eth0, address 192.168.1.2, port 33791 for outgoing packets
Tracing the path to 142.250.1.1 on TCP port 443 (https), 30 hops max
 1  192.168.1.1  1.2 ms  0.9 ms  0.8 ms
 2  * * *
 3  142.250.1.1 [open]  20.1 ms  20.3 ms  20.2 ms
""",
        "traceroute",
        "142.250.1.1",
        3,
        ["192.168.1.1", None, "142.250.1.1"],
        3,
        3,
        20.1,
    ),
    (
        "linux_x",
        "utf-8",
        """\
traceroute to 8.8.8.8 (8.8.8.8), 30 hops max, 60 byte packets
 1  192.168.1.1 (192.168.1.1)  0.5 ms F=1500  0.4 ms  0.4 ms
 2  10.0.0.1 (10.0.0.1)  3.1 ms !H  3.2 ms !H *
""",
        "traceroute",
        "8.8.8.8",
        None,
        ["192.168.1.1", "10.0.0.1"],
        None,
        None,
        None,
    ),
    (
        "mtr_old",
        "utf-8",
        """\
HOST: vm                          Loss%   Snt   Last   Avg  Best  Wrst StDev
  1. 192.168.1.1                   0.0%    10    0.5   0.5   0.4   0.7   0.1
  2. ???                          100.0    10    0.0   0.0   0.0   0.0   0.0
  3. core1 (10.3.3.3)             10.0%    10   10.5  10.5  10.4  10.7   0.1
    |  `|-- 10.3.3.4
    |  +-- [MPLS: Lbl 24015 TC 0 S 1 TTL 1]
  4. AS15169  8.8.8.8              0.0%    10   12.5  12.5  12.4  12.7   0.1
""",
        "mtr",
        "8.8.8.8",
        4,
        ["192.168.1.1", None, "10.3.3.3", "8.8.8.8"],
        10,
        10,
        12.4,
    ),
    (
        "mtr_o",
        "utf-8",
        """\
Start: 2024-01-02T03:04:05+0100
HOST: vm                             Loss% Drop   Rcv   Snt   Last  Best   Avg  Wrst StDev  Gmean Jttr Javg Jmax Jint
  1.|-- AS???    localhost (10.0.0.1)   0.0%    0     2     2    0.1   0.1   0.1   0.1   0.0    0.1  0.0  0.0  0.0  0.0
  2.|-- AS15169  dns.google (8.8.8.8)  50.0%    1     1     2    9.1   9.1   9.1   9.1   0.0    9.1  0.0  0.0  0.0  0.0
""",
        "mtr",
        "8.8.8.8",
        2,
        ["10.0.0.1", "8.8.8.8"],
        2,
        1,
        9.1,
    ),
    (
        "mtr_wait",
        "utf-8",
        """\
 Host                                  Loss%   Snt   Last   Avg  Best  Wrst StDev
 1. 192.168.1.1                        0.0%    10    0.5   0.5   0.4   0.7   0.1
 2. (waiting for reply)
 3. 8.8.8.8                            0.0%    10    9.5   9.5   9.4   9.7   0.1
""",
        "mtr",
        "8.8.8.8",
        3,
        ["192.168.1.1", None, "8.8.8.8"],
        10,
        10,
        9.4,
    ),
    (
        "mtr_csv_old",
        "utf-8",
        """\
MTR.0.85;1400000000;OK;8.8.8.8;1;192.168.1.1;842
MTR.0.85;1400000000;OK;8.8.8.8;2;???;0
MTR.0.85;1400000000;OK;8.8.8.8;3;8.8.8.8;9842
""",
        "mtr",
        "8.8.8.8",
        3,
        ["192.168.1.1", None, "8.8.8.8"],
        None,
        None,
        9.842,
    ),
    (
        "winmtr_html",
        "utf-8",
        """\
<html><head><title>WinMTR Statistics</title></head><body bgcolor="white">
<center><h2>WinMTR statistics</h2></center>
<p align="center"> <table border="1" align="center">
<tr><td>Host</td> <td>%</td> <td>Sent</td> <td>Recv</td> <td>Best</td> <td>Avrg</td> <td>Wrst</td> <td>Last</td></tr>
<tr><td>192.168.1.1</td> <td>0</td> <td>10</td> <td>10</td> <td>0</td> <td>1</td> <td>3</td> <td>1</td></tr>
<tr><td>No response from host</td> <td>100</td> <td>10</td> <td>0</td> <td>0</td> <td>0</td> <td>0</td> <td>0</td></tr>
<tr><td>8.8.8.8</td> <td>10</td> <td>10</td> <td>9</td> <td>9</td> <td>10</td> <td>13</td> <td>10</td></tr>
</table></body></html>""",
        "winmtr",
        "8.8.8.8",
        3,
        ["192.168.1.1", None, "8.8.8.8"],
        10,
        9,
        9.0,
    ),
    (
        "csv",
        "utf-8",
        """\
Hop;IP;Hostname;Loss %;Sent;Received;Best;Avg;Worst
1;192.168.1.1;gw;0;10;10;0,5;0,6;1,2
2;*;;100;10;0;;;
3;15.193.5.20;turn;0;10;10;9,5;9,6;11,2
""",
        "csv",
        "15.193.5.20",
        3,
        ["192.168.1.1", None, "15.193.5.20"],
        10,
        10,
        9.5,
    ),
    (
        "pathping_de",
        "cp850",
        """
Routenverfolgung zu google.com [142.250.185.78]
über maximal 30 Hops:
  0  PC [192.168.178.20]
  1  fritz.box [192.168.178.1]
  2     *        *        *
Berechnung der Statistiken dauert ca. 25 Sekunden...
            Quelle zum Abs.  Knoten/Verbindung
Abs. Zeit   Verl./Ges.=   %  Verl./Ges.=   %  Adresse
  0                                           PC [192.168.178.20]
                                0/ 100 =  0%   |
  1    1ms     0/ 100 =  0%     0/ 100 =  0%  fritz.box [192.168.178.1]

Ablaufverfolgung beendet.
""",
        "pathping",
        "142.250.185.78",
        None,
        ["192.168.178.1"],
        None,
        None,
        None,
    ),
    (
        "pathping_lost",
        "utf-8",
        """
Tracing route to 10.5.5.5 over a maximum of 30 hops

  0  PC [192.168.178.20]
  1  192.168.178.1
  2  10.5.5.5

Computing statistics for 50 seconds...
            Source to Here   This Node/Link
Hop  RTT    Lost/Sent = Pct  Lost/Sent = Pct  Address
  0                                           PC [192.168.178.20]
                                0/ 100 =  0%   |
  1    1ms     0/ 100 =  0%     0/ 100 =  0%  192.168.178.1
                              100/ 100 =100%   |
  2  ---     100/ 100 =100%     0/ 100 =  0%  10.5.5.5

Trace complete.
""",
        "pathping",
        "10.5.5.5",
        2,
        ["192.168.178.1", "10.5.5.5"],
        100,
        0,
        None,
    ),
    (
        "tracepath",
        "utf-8",
        """\
$ tracepath -n 8.8.8.8
 1?: [LOCALHOST]                      pmtu 1500
 1:  192.168.1.1                                           0.874ms
 2:  no reply
 3:  8.8.8.8                                              10.599ms reached
     Resume: pmtu 1500 hops 3 back 3
""",
        "tracepath",
        "8.8.8.8",
        3,
        ["192.168.1.1", None, "8.8.8.8"],
        1,
        1,
        10.599,
    ),
    (
        "tracepath_b",
        "utf-8",
        """\
 1?: [LOCALHOST]                        0.017ms pmtu 1500
 1:  gw (192.168.1.1)                                      0.874ms
 2:  dns.google (8.8.8.8)                                 10.599ms reached
     Resume: pmtu 1500 hops 2 back 2
""",
        "tracepath",
        "8.8.8.8",
        2,
        ["192.168.1.1", "8.8.8.8"],
        1,
        1,
        10.599,
    ),
]
